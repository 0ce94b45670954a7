// Near miss `divided_by_the_sum_of_others` of `divided_behind_the_values`: The sum of a row of queries, transposed to where that of the keys should be.
// Left alone: probabilities_changed
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
    %4 = torch.aten.matmul %3, %arg2 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[2,4,63,40],f32> -> !torch.vtensor<[2,4,63,40],f32>
    %int-1 = torch.constant.int -1
    %5 = torch.prim.ListConstruct %int-1 : (!torch.int) -> !torch.list<int>
    %false = torch.constant.bool false
    %none = torch.constant.none
    %6 = torch.aten.sum.dim_IntList %3, %5, %false, %none : !torch.vtensor<[2,4,63,63],f32>, !torch.list<int>, !torch.bool, !torch.none -> !torch.vtensor<[2,4,63],f32>
    %int1 = torch.constant.int 1
    %7 = torch.prim.ListConstruct %int1 : (!torch.int) -> !torch.list<int>
    %8 = torch.aten.roll %6, %7, %5 : !torch.vtensor<[2,4,63],f32>, !torch.list<int>, !torch.list<int> -> !torch.vtensor<[2,4,63],f32>
    %int3 = torch.constant.int 3
    %9 = torch.aten.unsqueeze %8, %int3 : !torch.vtensor<[2,4,63],f32>, !torch.int -> !torch.vtensor<[2,4,63,1],f32>
    %10 = torch.aten.div.Tensor %4, %9 : !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,1],f32> -> !torch.vtensor<[2,4,63,40],f32>
    return %10 : !torch.vtensor<[2,4,63,40],f32>
  }
}
