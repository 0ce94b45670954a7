// Near miss `exponentials_over_the_sum_of_columns` of `exponentials_over_their_sum`
// Left alone: softmax_dim
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %0 = torch.operator "torch.aten.mT"(%arg0) : (!torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,40,63],f32> 
    %1 = torch.aten.matmul %arg1, %0 : !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,40,63],f32> -> !torch.vtensor<[2,4,63,63],f32>
    %float1.250000e-01 = torch.constant.float 1.250000e-01
    %2 = torch.aten.mul.Scalar %1, %float1.250000e-01 : !torch.vtensor<[2,4,63,63],f32>, !torch.float -> !torch.vtensor<[2,4,63,63],f32>
    %3 = torch.aten.exp %2 : !torch.vtensor<[2,4,63,63],f32> -> !torch.vtensor<[2,4,63,63],f32>
    %int-2 = torch.constant.int -2
    %4 = torch.prim.ListConstruct %int-2 : (!torch.int) -> !torch.list<int>
    %true = torch.constant.bool true
    %none = torch.constant.none
    %5 = torch.aten.sum.dim_IntList %3, %4, %true, %none : !torch.vtensor<[2,4,63,63],f32>, !torch.list<int>, !torch.bool, !torch.none -> !torch.vtensor<[2,4,1,63],f32>
    %6 = torch.aten.div.Tensor %3, %5 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[2,4,1,63],f32> -> !torch.vtensor<[2,4,63,63],f32>
    %7 = torch.aten.matmul %6, %arg2 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[2,4,63,40],f32> -> !torch.vtensor<[2,4,63,40],f32>
    return %7 : !torch.vtensor<[2,4,63,40],f32>
  }
}
