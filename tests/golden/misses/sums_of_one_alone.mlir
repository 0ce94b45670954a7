// Near miss `sums_of_one_alone` of `products_by_sums`: Sums over features of a quotient: no product of queries and keys.
// Left alone: no_query_key_product
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,31,40],f32>, %arg1: !torch.vtensor<[2,4,31,40],f32>, %arg2: !torch.vtensor<[2,4,31,40],f32>) -> !torch.vtensor<[2,4,31,40],f32> {
    %int3 = torch.constant.int 3
    %0 = torch.aten.unsqueeze %arg0, %int3 : !torch.vtensor<[2,4,31,40],f32>, !torch.int -> !torch.vtensor<[2,4,31,1,40],f32>
    %int2 = torch.constant.int 2
    %1 = torch.aten.unsqueeze %arg1, %int2 : !torch.vtensor<[2,4,31,40],f32>, !torch.int -> !torch.vtensor<[2,4,1,31,40],f32>
    %2 = torch.aten.pow.Tensor_Scalar %1, %int2 : !torch.vtensor<[2,4,1,31,40],f32>, !torch.int -> !torch.vtensor<[2,4,1,31,40],f32>
    %int1 = torch.constant.int 1
    %3 = torch.aten.add.Scalar %2, %int1, %int1 : !torch.vtensor<[2,4,1,31,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,1,31,40],f32>
    %4 = torch.aten.div.Tensor %0, %3 : !torch.vtensor<[2,4,31,1,40],f32>, !torch.vtensor<[2,4,1,31,40],f32> -> !torch.vtensor<[2,4,31,31,40],f32>
    %int-1 = torch.constant.int -1
    %5 = torch.prim.ListConstruct %int-1 : (!torch.int) -> !torch.list<int>
    %false = torch.constant.bool false
    %none = torch.constant.none
    %6 = torch.aten.sum.dim_IntList %4, %5, %false, %none : !torch.vtensor<[2,4,31,31,40],f32>, !torch.list<int>, !torch.bool, !torch.none -> !torch.vtensor<[2,4,31,31],f32>
    %float1.250000e-01 = torch.constant.float 1.250000e-01
    %7 = torch.aten.mul.Scalar %6, %float1.250000e-01 : !torch.vtensor<[2,4,31,31],f32>, !torch.float -> !torch.vtensor<[2,4,31,31],f32>
    %8 = torch.operator "torch.aten.mT"(%arg1) : (!torch.vtensor<[2,4,31,40],f32>) -> !torch.vtensor<[2,4,40,31],f32> 
    %9 = torch.aten.matmul %arg0, %8 : !torch.vtensor<[2,4,31,40],f32>, !torch.vtensor<[2,4,40,31],f32> -> !torch.vtensor<[2,4,31,31],f32>
    %10 = torch.aten.sin %9 : !torch.vtensor<[2,4,31,31],f32> -> !torch.vtensor<[2,4,31,31],f32>
    %11 = torch.aten.add.Tensor %7, %10, %int1 : !torch.vtensor<[2,4,31,31],f32>, !torch.vtensor<[2,4,31,31],f32>, !torch.int -> !torch.vtensor<[2,4,31,31],f32>
    %12 = torch.aten.softmax.int %11, %int-1, %none : !torch.vtensor<[2,4,31,31],f32>, !torch.int, !torch.none -> !torch.vtensor<[2,4,31,31],f32>
    %13 = torch.aten.matmul %12, %arg2 : !torch.vtensor<[2,4,31,31],f32>, !torch.vtensor<[2,4,31,40],f32> -> !torch.vtensor<[2,4,31,40],f32>
    return %13 : !torch.vtensor<[2,4,31,40],f32>
  }
}
